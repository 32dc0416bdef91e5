//! The request side of RFC 9110 and RFC 9112, case by case.
//!
//! The cases follow two public suites, Http11Probe (ids in capitals) and h1spec (`h1spec-…`), in our own words and bytes; ids
//! that begin with `own-` are neighbours they lack. Each is sent twice, each time to a door of its own: as it stands to a
//! public route, and with a token to one that requires it.
//!
//! Where we are stricter than a suite wants, or answer otherwise:
//!
//! | case | theirs | ours | reason |
//! | --- | --- | --- | --- |
//! | COMP-OPTIONS-STAR | 2xx | 400 | no route is for `*`, so nobody decided who may ask |
//! | COMP-HTTP12-VERSION, COMP-VERSION-… | 2xx or 505 | 400 or 505 | an app takes an unknown version for whatever it likes |
//! | COMP-HTTP10-NO-HOST | 200 or 400 | 400 | the host chooses route and tenant |
//! | MAL-LONG-METHOD | 400 | 400, 414 or 431 | it is the head that is too large |
//! | SMUG-CL-LEADING-ZEROS, -DOUBLE-ZERO, -OCTAL | 400 or 2xx | 400 | some read octal |
//! | SMUG-CL-COMMA-SAME, -TRIPLE | 400 or 2xx | 400 | RFC 9110 section 8.6 leaves the choice |
//! | SMUG-TE-… beside a length | 400 or 2xx | 400 | RFC 9112 section 6.1 leaves the choice |
//! | bare LF anywhere | 400 or 2xx | 400 | RFC 9112 section 2.2 leaves the choice |
//!
//! What is left out: COMP-OPTIONS-ALLOW, and what Date and Content-Type say on answers of the app's: those are the app's.

mod answers;
mod fields;
mod framing;
mod large;
mod request_line;
mod runner;
mod sequences;
mod smuggling;
mod upgrades;
