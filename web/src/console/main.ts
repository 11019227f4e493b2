// The entry of the console's page: finds its words, and puts it there.

import '../page.css';
import './console-app.ts';
import { Context } from './context.ts';
import { loadTexts } from './texts/texts.ts';

const texts = await loadTexts(navigator.languages);
document.documentElement.lang = texts.lang;
const app = document.createElement('console-app');
app.app = new Context(texts);
document.body.append(app);
