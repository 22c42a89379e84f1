// Which field of a collection plays which part on a card. A collection has no fixed schema, so its settings are asked
// first and common names second; a part that nobody plays is not shown.

import { plain } from "./format.js";

const NAMES = {
  body: /^(description|body|text|abstract|summary|content|details?)$/i,
  brand: /^(brand|manufacturer|maker|vendor|author)(_name)?$/i,
  category: /^(category|categories|department|product_type|class|genre)(_name)?$/i,
  price: /^(price|sale_price|list_price|amount|cost)$/i,
  rating: /^(rating|stars|avg_rating|average_rating|rating_average)$/i,
  stock: /^(in_stock|stock|available|availability|quantity|inventory)$/i,
};

/** rolesOf finds the fields for the parts. */
export function rolesOf(settings) {
  const text = (settings?.text ?? []).map((t) => t.field);
  const attributes = Object.keys(settings?.attributes ?? {});
  const all = [...attributes, ...text];
  const find = (re) => all.find((f) => re.test(f));
  const title = text[0] ?? "title";
  const roles = { title, body: text.slice(1).find((f) => NAMES.body.test(f)) ?? text.find((f) => f !== title && !NAMES.brand.test(f) && !NAMES.category.test(f)) };
  for (const part of ["brand", "category", "price", "rating", "stock"]) roles[part] = find(NAMES[part]);
  return roles;
}

const numeric = (v) => (typeof v === "number" ? v : typeof v === "string" && v.trim() !== "" ? Number(v) : NaN);

/** parts reads a card's parts from one document. */
export function parts(hit, roles) {
  const doc = hit.document && typeof hit.document === "object" ? hit.document : {};
  const price = numeric(doc[roles.price]);
  const rating = numeric(doc[roles.rating]);
  return {
    doc,
    title: plain(doc[roles.title]).trim(),
    body: roles.body ? plain(doc[roles.body]) : "",
    brand: roles.brand ? plain(doc[roles.brand]) : "",
    category: roles.category ? plain(doc[roles.category]) : "",
    price: Number.isFinite(price) ? price : null,
    currency: doc.currency,
    rating: Number.isFinite(rating) && rating >= 0 && rating <= 5 ? rating : null,
    stock: stockOf(doc[roles.stock]),
  };
}

/** stockOf gives {ok, label}, or null when the document does not say. */
function stockOf(v) {
  if (v === true || v === "true") return { ok: true, label: "In stock" };
  if (v === false || v === "false") return { ok: false, label: "Out of stock" };
  const n = numeric(v);
  if (!Number.isFinite(n)) return null;
  return n > 0 ? { ok: true, label: n <= 5 ? `Only ${n} left` : "In stock" } : { ok: false, label: "Out of stock" };
}
