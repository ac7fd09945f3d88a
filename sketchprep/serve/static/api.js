// Lists what the server's own OpenAPI description says.

const element = (name, words = "", ...children) => {
  const made = document.createElement(name);
  made.textContent = words;
  made.append(...children);
  return made;
};

function choices(schema) {
  const kinds = schema.anyOf ?? [schema];
  const [first] = kinds;
  return (first.enum ?? [first.type === "array" ? "text, several times" : first.type]).join(", ");
}

function entry(path, method, about) {
  const found = element("section", "", element("h2", `${method.toUpperCase()} ${path}`), element("p", about.description ?? ""));
  const rows = (about.parameters ?? []).map(({ name, description, schema }) => {
    const usual = schema.default === undefined || schema.default === "" ? "" : `; default ${schema.default}`;
    return element("tr", "", element("td", name), element("td", `${choices(schema)}${usual}`), element("td", description ?? schema.description ?? ""));
  });
  if (rows.length) found.append(element("table", "", ...rows));
  return found;
}

for (const span of document.querySelectorAll(".server")) span.textContent = new URL(".", location);
const described = await (await fetch("api/openapi.json")).json();
const all = Object.entries(described.paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, about]) => entry(path, method, about)));
document.getElementById("paths").append(...all);
