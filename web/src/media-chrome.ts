// media-chrome's words in the languages of ours: it knows one language for all its elements of a page.
// The elements come after the picture has been asked for, which they are not to delay.

import { addTranslation, setLanguage } from 'media-chrome/dist/utils/i18n.js';
import type { Texts } from './texts/texts.ts';

/** Loads the elements. */
export function loadControls(): Promise<unknown> {
  return import('./media-chrome-elements.ts');
}

/** The language that media-chrome's elements speak when they are made from now on. */
export function speak(texts: Texts): void {
  addTranslation(texts.lang, dictionary(texts));
  setLanguage(texts.lang);
}

/** What each of media-chrome's phrases is in our words. */
export function dictionary({ lang, controls: c, behindLive }: Texts): Record<string, string> {
  return {
    'video player': c.player,
    Play: c.play,
    play: c.play,
    Pause: c.pause,
    pause: c.pause,
    Mute: c.mute,
    mute: c.mute,
    Unmute: c.unmute,
    unmute: c.unmute,
    volume: c.volume,
    seek: c.seek,
    live: c.live,
    'seek to live': c.toLive,
    'playing live': c.atLive,
    'closed captions': c.captions,
    'Enable captions': c.showCaptions,
    'Disable captions': c.hideCaptions,
    'Enter picture in picture mode': c.pip,
    'enter picture in picture mode': c.pip,
    'Exit picture in picture mode': c.exitPip,
    'exit picture in picture mode': c.exitPip,
    'Enter fullscreen mode': c.fullscreen,
    'enter fullscreen mode': c.fullscreen,
    'Exit fullscreen mode': c.exitFullscreen,
    'exit fullscreen mode': c.exitFullscreen,
    // Our axis is how far back one is, below zero.
    '{time} remaining': behindLive('{time}'),
    '{currentTime} of {totalTime}': '{currentTime}',
    'video not loaded, unknown time.': c.live,
    ...unit(lang, 'hour'),
    ...unit(lang, 'minute'),
    ...unit(lang, 'second'),
  };
}

/** How one and several of a unit are called. */
function unit(lang: string, name: 'hour' | 'minute' | 'second'): Record<string, string> {
  const format = new Intl.NumberFormat(lang, { style: 'unit', unit: name, unitDisplay: 'long' });
  const word = (count: number) =>
    format.formatToParts(count).find(({ type }) => type === 'unit')?.value ?? name;
  return { [name]: word(1), [`${name}s`]: word(2) };
}
