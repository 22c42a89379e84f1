// "Copy as curl": the page's own request, as a command for a shell.

const shell = (s) => `'${s.replaceAll("'", `'\\''`)}'`;

/** command gives the curl line for a POST of body to an address of this server. */
export function command(address, body) {
  return `curl -sS ${shell(new URL(address, location.href).href)} \\\n  -H 'Content-Type: application/json' \\\n  -d ${shell(JSON.stringify(body))}`;
}

/** copy puts text on the clipboard; gives false where the browser does not allow it. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch { /* no permission, or not a secure context */ }
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "vh";
  document.body.append(area);
  area.select();
  const ok = document.execCommand("copy");
  area.remove();
  return ok;
}
