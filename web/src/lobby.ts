// The lobby: the broadcasts that this edge knows, kept up to date gently, or how to start one.

import './page.css';
import './lectern-lobby.ts';
import { textsFor } from './texts/texts.ts';

const { lang, lobby } = textsFor(navigator.languages);
document.documentElement.lang = lang;
const title = document.querySelector('h1');
if (title) title.textContent = lobby.title;
