//! The browser client, as it stands beside this file: a page of the customer's loads it from the portal.

/// For `<script src="https://portal/_auth/client.js">`: the global `Vestibule`.
pub const SCRIPT: &str = include_str!("client.js");
/// For `import … from "https://portal/_auth/client.mjs"`.
pub const MODULE: &str = include_str!("client.mjs");
