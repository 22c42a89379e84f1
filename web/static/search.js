// One search at a time: a newer one aborts the older, and an answer that comes late is dropped.

import * as api from "./api.js";
import { expression } from "./filters.js";
import { rolesOf } from "./roles.js";

export const PAGE_SIZE = 20;
const WINDOW = 10_000; // the API's limit on offset + limit
const FACET_VALUES = 50; // the list shows the first few and unfolds to these
const MAX_FACETS = 32;

/** lastPage is the highest page that the API can answer for a total. */
export const lastPage = (total) => Math.max(1, Math.min(Math.ceil(total / PAGE_SIZE), Math.floor(WINDOW / PAGE_SIZE)));

/** facetFields lists the attributes that have counts, those with a part on the card first; dates have none. */
export function facetFields(types) {
  const roles = rolesOf({ attributes: types });
  const first = [roles.category, roles.price, roles.brand, roles.rating, roles.stock];
  const kinds = ["keyword", "bool", "number"];
  const rank = (f) => (first.includes(f) ? first.indexOf(f) : first.length + kinds.indexOf(types[f]));
  return Object.keys(types)
    .filter((f) => kinds.includes(types[f]))
    .sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1))
    .slice(0, MAX_FACETS);
}

const facet = (field, types) => (types[field] === "keyword" ? { field, limit: FACET_VALUES } : { field });

/** requestFor gives the search request for a state: the page's own and the one that "copy as curl" shows. */
export function requestFor(state, types) {
  const body = {
    q: state.q,
    mode: state.mode === "reranked" ? "hybrid" : state.mode,
    limit: PAGE_SIZE,
    offset: (state.page - 1) * PAGE_SIZE,
    highlight: true,
    rerank: { mode: state.mode === "reranked" ? "auto" : "off" },
  };
  const filter = expression(state, types);
  if (filter) body.filter = filter;
  const facets = facetFields(types).map((f) => facet(f, types));
  if (facets.length) body.facets = facets;
  if (state.sort) body.sort = [state.sort];
  if (state.fold) body.collapse_duplicates = true;
  return body;
}

/** similarFor gives the request for "more like this". */
export function similarFor(state, types) {
  const body = { id: state.like, limit: PAGE_SIZE };
  const filter = expression(state, types);
  if (filter) body.filter = filter;
  return body;
}

// A field that is filtered by keeps the counts that its other values would have: they come from a search without that
// field's own filter.
async function ownCounts(state, types, signal) {
  const fields = facetFields(types).filter((f) => Object.hasOwn(state.filters, f));
  const answers = await Promise.all(fields.map((field) => {
    const body = { ...requestFor(state, types), limit: 0, offset: 0, highlight: false, rerank: { mode: "off" }, facets: [facet(field, types)] };
    const filter = expression(state, types, field);
    if (filter) body.filter = filter;
    else delete body.filter;
    delete body.sort;
    return api.search(state.collection, body, { signal });
  }));
  return fields.map((field, i) => [field, answers[i].facets?.[field]]);
}

/** createSearch gives run(state, types); the newest run reports to onResult or onError, older ones to nobody. */
export function createSearch({ onStart, onResult, onError }) {
  let running = null;
  return async function run(state, types) {
    running?.abort();
    const mine = (running = new AbortController());
    onStart();
    try {
      const result = state.like ? await near(state, types, mine.signal) : await found(state, types, mine.signal);
      if (running === mine) onResult(result, state);
    } catch (err) {
      if (running === mine && !api.aborted(err)) onError(err, state);
    } finally {
      if (running === mine) running = null;
    }
  };
}

async function found(state, types, signal) {
  const [result, own] = await Promise.all([
    api.search(state.collection, requestFor(state, types), { signal }),
    ownCounts(state, types, signal),
  ]);
  const facets = Object.fromEntries([...Object.entries(result.facets ?? {}), ...own.filter(([, f]) => f)]);
  return { ...result, hits: result.hits ?? [], facets };
}

async function near(state, types, signal) {
  const [result, source] = await Promise.all([
    api.similar(state.collection, similarFor(state, types), { signal }),
    api.document_(state.collection, state.like, { signal }),
  ]);
  return { ...result, hits: result.hits ?? [], source };
}
