// What the bundler understands beyond TypeScript, and what TypeScript's DOM library lacks.

declare module '*.css';
