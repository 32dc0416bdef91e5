//! The browser client, as it is served under `/_auth/`: plain source, for there is no build step.

/// What a page loads with `<script>`.
pub const SCRIPT: &str = include_str!("client.js");

/// The same for `import`.
pub const MODULE: &str = include_str!("client.mjs");
