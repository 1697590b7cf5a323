// A log line as a command that can be pasted into a shell. What strangers sent stands in it, so every word is quoted.

const CONTROL = /[\u0000-\u001f\u007f]/g;

/** `address` is where the listener takes connections. The target goes as it came: curl must not tidy it up. */
export function curl(line, address) {
  const host = line.host || address;
  const words = ["curl", "-i", "--path-as-is", "-g"];
  if (line.method === "HEAD") words.push("-I");
  else if (line.method !== "GET") words.push("-X", quoted(line.method));
  if (host !== address) words.push("-H", quoted(`host: ${host}`));
  if (line.user_agent) words.push("-A", quoted(line.user_agent));
  if (line.referer) words.push("-e", quoted(line.referer));
  const target = line.target.startsWith("/") ? line.target : "/";
  words.push("--", quoted(`http://${address}${target}`));
  return words.join(" ");
}

/** In single quotes a shell takes everything as it is, but for the quote; control bytes are left out. */
function quoted(text) {
  return `'${String(text).replace(CONTROL, "").replaceAll("'", "'\\''")}'`;
}
