// Loads files of the widgets as a page gets them, in one scope, and returns some of their names.
import { readFileSync } from "node:fs";

const WIDGETS = new URL("../../nin_lib/widgets/", import.meta.url);

export function load(files, names) {
  const sources = files.map((file) => readFileSync(new URL(`${file}.js`, WIDGETS), "utf8"));
  const body = sources.join("\n").replace(/^export default /m, "");
  return new Function(`${body}\nreturn { ${names.join(", ")} };`)();
}
