// Lints the page (`web/`) and its tests: `npm --prefix tests/web run check`. Nothing of it is
// in `web/`, because that folder is embedded in the binary.

import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "no-var": "error",
      "prefer-const": "error",
      "no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
    },
  },
  { files: ["web/js/**/*.js"], languageOptions: { globals: globals.browser } },
  // Some functions of the tests run in the page.
  { files: ["tests/web/**/*.js"], languageOptions: { globals: { ...globals.node, ...globals.browser } } },
];
