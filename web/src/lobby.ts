// The lobby: the broadcasts that this edge knows, kept up to date gently, or how to start one.

import './page.css';
import './lectern-lobby.ts';
