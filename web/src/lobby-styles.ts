// How the lobby looks; its colours are the page's.

import { css } from 'lit';

export const lobbyStyles = css`
  :host {
    display: block;
  }
  .find {
    display: grid;
    gap: 0.75rem;
    margin-bottom: 1.75rem;
  }
  input {
    width: 100%;
    min-height: 2.75rem;
    padding: 0.5rem 0.875rem;
    border: 0.0625rem solid var(--quiet);
    border-radius: 0.625rem;
    color: inherit;
    background: var(--card);
    font: inherit;
  }
  .topics {
    display: flex;
    flex-wrap: wrap;
    gap: 0.5rem;
  }
  .topics button {
    min-height: 2rem;
    padding: 0.25rem 0.75rem;
    border: 0.0625rem solid var(--quiet);
    border-radius: 1rem;
    color: inherit;
    background: none;
    font: inherit;
    font-size: 0.9375rem;
    overflow-wrap: anywhere;
    cursor: pointer;
  }
  .topics button[aria-pressed='true'] {
    border-color: var(--accent);
    color: light-dark(#fff, #0f151d);
    background: var(--accent);
  }
  section + section {
    margin-top: 2rem;
  }
  h2 {
    margin: 0 0 0.75rem;
    font-size: 1.125rem;
    font-weight: 600;
  }
  ul {
    display: grid;
    gap: 0.75rem;
    margin: 0;
    padding: 0;
    list-style: none;
  }
  a {
    display: flex;
    gap: 1rem;
    padding: 1.125rem 1.25rem;
    border: 0.0625rem solid var(--line);
    border-radius: 0.75rem;
    color: inherit;
    background: var(--card);
    text-decoration: none;
  }
  a:hover {
    border-color: var(--accent);
  }
  :is(a, button, input):focus-visible {
    outline: 0.1875rem solid var(--focus);
    outline-offset: 0.125rem;
  }
  img {
    flex: none;
    width: 3.5rem;
    height: 3.5rem;
    border-radius: 0.5rem;
    object-fit: contain;
  }
  .entry {
    display: grid;
    flex: 1;
    gap: 0.375rem;
    min-width: 0;
  }
  .line {
    display: flex;
    flex-wrap: wrap;
    align-items: center;
    gap: 0.25rem 1rem;
    color: var(--quiet);
    font-size: 0.9375rem;
  }
  strong {
    color: var(--text);
    font-size: 1.125rem;
    font-weight: 600;
    overflow-wrap: anywhere;
  }
  .state {
    display: flex;
    align-items: center;
    gap: 0.5rem;
  }
  .state::before {
    content: '';
    width: 0.5rem;
    height: 0.5rem;
    border-radius: 50%;
    background: var(--quiet);
  }
  .state.live::before {
    background: #e5383b;
  }
  .when {
    margin-left: auto;
  }
  .text {
    display: -webkit-box;
    overflow: hidden;
    margin: 0;
    -webkit-box-orient: vertical;
    -webkit-line-clamp: 2;
    overflow-wrap: anywhere;
  }
  .tag {
    overflow-wrap: anywhere;
  }
  .card {
    padding: 1.5rem;
    border: 0.0625rem solid var(--line);
    border-radius: 0.75rem;
    background: var(--card);
  }
  .card h2 {
    margin-bottom: 0.5rem;
    font-size: 1.25rem;
  }
  p {
    margin: 0 0 1rem;
    color: var(--quiet);
    line-height: 1.55;
    text-wrap: pretty;
  }
  p:last-child {
    margin: 0;
  }
  dl {
    display: grid;
    grid-template-columns: max-content 1fr;
    gap: 0.5rem 1.25rem;
    margin: 0 0 1rem;
  }
  dt {
    color: var(--quiet);
  }
  dd {
    margin: 0;
    overflow-wrap: anywhere;
  }
  code {
    padding: 0.125rem 0.375rem;
    border-radius: 0.375rem;
    background: var(--code);
    font: 0.9375em ui-monospace, monospace;
  }
  @media (max-width: 30rem) {
    a {
      flex-direction: column;
    }
    .when {
      margin-left: 0;
    }
    dl {
      grid-template-columns: 1fr;
      gap: 0.125rem;
    }
    dd {
      margin-bottom: 0.625rem;
    }
  }
`;
