// From the page's filters to a filter expression of the API.

import { label as words } from "./format.js";

/** quote writes s as a string of the filter grammar. */
const ESCAPES = { "\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t" };
export const quote = (s) => `"${s.replace(/[\\"\n\r\t]/g, (c) => ESCAPES[c])}"`;

/** name writes a field; one that is not a plain word is quoted. */
const name = (field) => (/^[A-Za-z_][A-Za-z0-9_.]*$/.test(field) && !/^(and|or|not|in|exists)$/i.test(field) ? field : quote(field));

const finite = (text) => text !== undefined && text.trim() !== "" && Number.isFinite(Number(text));

/** clause gives one field's part of the expression, or "" when nothing usable is set. */
export function clause(field, part, type) {
  const and = [];
  if (part.values?.length) {
    if (type === "bool") {
      const bools = part.values.filter((v) => v === "true" || v === "false");
      if (bools.length === 1) and.push(`${name(field)} = ${bools[0]}`);
    } else if (part.values.length === 1) {
      and.push(`${name(field)} = ${quote(part.values[0])}`);
    } else {
      and.push(`${name(field)} IN [${part.values.map(quote).join(", ")}]`);
    }
  }
  for (const [bound, op] of [["min", ">="], ["max", "<="], ["lt", "<"]]) {
    const v = part[bound];
    if (type === "date" && v) and.push(`${name(field)} ${op} ${quote(v)}`);
    else if (type === "number" && finite(v)) and.push(`${name(field)} ${op} ${Number(v)}`);
  }
  return and.join(" AND ");
}

/** expression joins all filters. types: the collection's attributes. except: a field to leave out, for its own counts. */
export function expression(state, types, except) {
  const parts = [];
  for (const [field, part] of Object.entries(state.filters)) {
    if (field === except || !Object.hasOwn(types, field)) continue;
    const c = clause(field, part, types[field]);
    if (c) parts.push(c);
  }
  if (state.where.trim()) parts.push(parts.length ? `(${state.where.trim()})` : state.where.trim());
  return parts.join(" AND ");
}

/** chips lists the active filters in words, each with the state that is left when it is taken away. */
export function chips(state, types) {
  const out = [];
  const drop = (field, part) => ({ field, part });
  for (const [field, part] of Object.entries(state.filters)) {
    if (!Object.hasOwn(types, field)) continue;
    for (const v of part.values ?? []) {
      out.push({
        label: types[field] === "bool" ? `${words(field)}: ${v === "true" ? "yes" : "no"}` : `${words(field)}: ${v}`,
        left: drop(field, { ...part, values: part.values.filter((x) => x !== v) }),
      });
    }
    const low = part.min, high = part.max ?? part.lt;
    if (low !== undefined || high !== undefined) {
      const below = part.max === undefined ? "under" : "to";
      const label = low === undefined ? `${words(field)} ${below === "to" ? "up to" : "under"} ${high}`
        : high === undefined ? `${words(field)} from ${low}` : `${words(field)} ${low} ${below === "to" ? "to" : "to under"} ${high}`;
      out.push({ label, left: drop(field, { values: part.values }) });
    }
  }
  if (state.where.trim()) out.push({ label: state.where.trim(), where: true });
  return out;
}
