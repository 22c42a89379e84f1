// Documents by id, each asked for once and at most a few at a time.

import * as api from "./api.js";

const KEPT = 2000; // documents; what is over is asked for again

/** createDocuments gives get(id) → Promise of the document, or null when it is gone. */
export function createDocuments(collection) {
  const known = new Map();
  return function get(id) {
    if (!known.has(id)) {
      if (known.size >= KEPT) known.delete(known.keys().next().value);
      const asked = api.document_(collection, id).catch((err) => {
        if (err.code === "document_not_found") return null;
        known.delete(id);
        throw err;
      });
      known.set(id, asked);
    }
    return known.get(id);
  };
}
