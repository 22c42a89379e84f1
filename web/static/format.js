// Numbers and words as a person reads them.

const integer = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });

export const count = (n) => integer.format(n);
export const number = (n) => short.format(n);
export const plural = (n, one, many = one + "s") => `${count(n)} ${n === 1 ? one : many}`;

/** ms shows milliseconds with the precision that matters. */
export const ms = (v) => (v >= 10 ? String(Math.round(v)) : v >= 1 ? v.toFixed(1).replace(/\.0$/, "") : v >= 0.05 ? v.toFixed(1) : "0");

export function seconds(s) {
  if (!Number.isFinite(s) || s < 0) return "";
  if (s < 60) return `${Math.max(1, Math.round(s))} s`;
  return s < 3600 ? `${Math.floor(s / 60)} min ${Math.round(s % 60)} s` : `${Math.floor(s / 3600)} h ${Math.round((s % 3600) / 60)} min`;
}

export function bytes(n) {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) if (n >= size) return `${short.format(n / size)} ${unit}`;
  return `${n} B`;
}

/** money shows a price; the currency is the document's own, if it names one. */
export function money(value, currency) {
  if (typeof currency === "string" && /^[A-Za-z]{3}$/.test(currency)) {
    try {
      return new Intl.NumberFormat("en", { style: "currency", currency: currency.toUpperCase() }).format(value);
    } catch { /* not a currency that this browser knows */ }
  }
  return new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 }).format(value);
}

/** label turns a field's name into words. */
export function label(field) {
  const words = field.replaceAll(/[_-]+/g, " ").trim();
  return words ? words[0].toUpperCase() + words.slice(1) : field;
}

/** plain shows any value of a document as one line of text. */
export function plain(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(plain).join(", ");
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
