// What the page says, in the reader's language where there is a file of it in texts/.
// Another language: copy texts/en.js, translate it, and name it here and in index.html.

import en from "./texts/en.js";

const languages = { en };

const code = navigator.languages.map((tag) => tag.slice(0, 2)).find((tag) => tag in languages) ?? "en";

/** The reader's own kind of the page's language, as dates are written in it. */
export const locale = navigator.languages.find((tag) => tag.startsWith(code)) ?? code;

document.documentElement.lang = code;

export const texts = languages[code];
