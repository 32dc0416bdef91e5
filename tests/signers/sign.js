// Signs tokens the way a Node backend does, with the `jsonwebtoken` package.
//
// One JSON object per line in, one token per line out, until the end of input:
//   {"secret": "…", "claims": {…}, "header": {"kid": "…"}, "algorithm": "HS256"}
// "header" and "algorithm" may be left out; for RS256 and ES256 the secret is a
// private key in PEM. The first error ends the program with the library's message.
'use strict';

const readline = require('node:readline');
const jwt = require('jsonwebtoken');

function sign({ secret, claims, header = {}, algorithm = 'HS256' }) {
  const options = { algorithm };
  const { kid, ...others } = header;
  if (kid !== undefined) options.keyid = kid;
  if (Object.keys(others).length > 0) options.header = others;
  return jwt.sign(claims, secret, options);
}

readline.createInterface({ input: process.stdin, terminal: false }).on('line', (line) => {
  try {
    process.stdout.write(sign(JSON.parse(line)) + '\n');
  } catch (error) {
    process.stderr.write(`${error.name}: ${error.message}\n`);
    process.exit(1);
  }
});
