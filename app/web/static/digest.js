// A worker: SHA-256 (FIPS 180-4) of a file, piece by piece, so that no file is too large for the memory.

const primes = [];
for (let n = 2; primes.length < 64; n++) if (primes.every((p) => n % p)) primes.push(n);
const bits = (x) => ((x - Math.floor(x)) * 2 ** 32) | 0;
const K = Int32Array.from(primes, (p) => bits(Math.cbrt(p)));
const W = new Int32Array(64);

function block(H, bytes, at) {
  for (let i = 0; i < 16; i++, at += 4) W[i] = (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
  for (let i = 16; i < 64; i++) {
    const x = W[i - 15], y = W[i - 2];
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
    W[i] = (W[i - 16] + s0 + W[i - 7] + s1) | 0;
  }
  let [a, b, c, d, e, f, g, h] = H;
  for (let i = 0; i < 64; i++) {
    const S1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
    const t1 = (h + S1 + ((e & f) ^ (~e & g)) + K[i] + W[i]) | 0;
    const S0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
    const t2 = (S0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
  }
  H[0] += a; H[1] += b; H[2] += c; H[3] += d; H[4] += e; H[5] += f; H[6] += g; H[7] += h;
}

async function digest(file) {
  const H = Int32Array.from(primes.slice(0, 8), (p) => bits(Math.sqrt(p)));
  const piece = 4 << 20;  // a multiple of 64: only the last one has a rest
  let rest = new Uint8Array(0);
  for (let start = 0; start < file.size; start += piece) {
    const bytes = new Uint8Array(await file.slice(start, start + piece).arrayBuffer());
    const whole = bytes.length & ~63;
    for (let at = 0; at < whole; at += 64) block(H, bytes, at);
    rest = bytes.slice(whole);
    postMessage({ done: Math.min(file.size, start + piece) });
  }
  const end = new Uint8Array(rest.length < 56 ? 64 : 128);
  end.set(rest);
  end[rest.length] = 128;
  const view = new DataView(end.buffer);
  view.setUint32(end.length - 8, Math.floor(file.size / 2 ** 29));
  view.setUint32(end.length - 4, (file.size * 8) >>> 0);
  for (let at = 0; at < end.length; at += 64) block(H, end, at);
  return [...H].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

onmessage = async ({ data }) => {
  try {
    postMessage({ digest: await digest(data) });
  } catch (error) {
    postMessage({ error: `the file cannot be read: ${error.message}` });
  }
};
