// ESLint for the widgets, for the scripts of the book and for the tests of both.
import { readFileSync, readdirSync } from "node:fs";
import js from "@eslint/js";
import globals from "globals";

const WIDGETS = "nin_lib/widgets";

// A page gets base.js, then a widget's further files, then the widget itself, as one module. So
// each file may use what the files before it declare, and declares what only later files use.
function declaredIn(file) {
  const text = readFileSync(`${WIDGETS}/${file}`, "utf8");
  const names = [...text.matchAll(/^(?:function\*?|const|let|class) (\w+)/gm)];
  return Object.fromEntries(names.map(([, name]) => [name, "readonly"]));
}

const files = readdirSync(WIDGETS).filter((file) => file.endsWith(".js"));
const familyOf = (file) => files.filter((other) => other !== file
  && (other === "base.js" || other.startsWith(file.replace(/(_draw|_sums)?\.js$/, ""))));
const isPart = (file) => !readFileSync(`${WIDGETS}/${file}`, "utf8").includes("\nexport default");
const widgets = files.map((file) => ({
  files: [`${WIDGETS}/${file}`],
  languageOptions: {
    // What only later files use is no fault; in a script ESLint passes over it.
    sourceType: isPart(file) ? "script" : "module",
    globals: {
      ...globals.browser,
      ...Object.assign({}, ...(file === "base.js" ? [] : familyOf(file)).map(declaredIn)),
    },
  },
  rules: { "no-unused-vars": ["error", { vars: "local" }], "no-redeclare": "off" },
}));

export default [
  { ignores: ["book/_build/", ".venv/", "my_notebooks/"] },
  js.configs.recommended,
  { rules: { eqeqeq: "error", "no-var": "error", "prefer-const": "error" } },
  ...widgets,
  {
    files: ["book/_static/*.js"],
    languageOptions: { sourceType: "script", globals: globals.browser },
  },
  { files: ["**/*.mjs"], languageOptions: { globals: globals.node } },
];
