//! What an operator's Prometheus reads.

use std::sync::Arc;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use crate::{
    ledger::{Ledger, Standing},
    reloads::Reloads,
    tunnel::{How, Tally},
};

/// All metrics of a server.
pub struct Metrics(Registry);

impl Metrics {
    /// Reads them where they are, each time somebody asks.
    pub fn new(ledger: Arc<Ledger>, reloads: Arc<Reloads>, websockets: Arc<Tally>) -> Self {
        let mut registry = Registry::with_prefix("vestibule");
        registry.register_collector(Box::new(OfLedger(ledger)));
        registry.register_collector(Box::new(OfReloads(reloads)));
        registry.register_collector(Box::new(OfWebSockets(websockets)));
        Self(registry)
    }

    /// The media type of [`Metrics::text`].
    pub const TYPE: &'static str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// As OpenMetrics text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = encode(&mut text, &self.0);
        text
    }
}

#[derive(Debug)]
struct OfReloads(Arc<Reloads>);

impl Collector for OfReloads {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let (taken, refused) = self.0.counts();
        let taken = ConstCounter::new(taken);
        let help = "Configurations read while serving: taken, or refused because they were wrong";
        let mut family = encoder.encode_descriptor("reloads", help, None, taken.metric_type())?;
        taken.encode(family.encode_family(&[("result", "taken")])?)?;
        ConstCounter::new(refused).encode(family.encode_family(&[("result", "refused")])?)
    }
}

#[derive(Debug)]
struct OfWebSockets(Arc<Tally>);

impl Collector for OfWebSockets {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let open = ConstGauge::new(i64::try_from(self.0.open()).unwrap_or(i64::MAX));
        let help = "WebSockets that are open";
        open.encode(encoder.encode_descriptor("websockets_open", help, None, open.metric_type())?)?;
        let ended = |how| ConstCounter::new(self.0.ended(how));
        let help = "WebSockets that have ended, by why";
        let kind = ended(How::Closed).metric_type();
        let mut family = encoder.encode_descriptor("websockets_ended", help, None, kind)?;
        for how in How::ALL {
            ended(how).encode(family.encode_family(&[("why", how.label())])?)?;
        }
        Ok(())
    }
}

struct OfLedger(Arc<Ledger>);

impl std::fmt::Debug for OfLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OfLedger")
    }
}

impl Collector for OfLedger {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let standing = self.0.standing();
        let name = "ledger_state";
        let help = "1 for the state the ledger is in: sound, unwritable, lost or stale";
        let state = ConstGauge::<i64>::new(1);
        let mut family = encoder.encode_descriptor(name, help, None, state.metric_type())?;
        for (label, is_it) in [
            ("sound", standing == Standing::Sound),
            ("unwritable", matches!(standing, Standing::Unwritable(_))),
            ("lost", matches!(standing, Standing::Lost(_))),
            ("stale", matches!(standing, Standing::Stale(_))),
        ] {
            ConstGauge::new(i64::from(is_it)).encode(family.encode_family(&[("state", label)])?)?;
        }
        let count = ConstGauge::new(i64::try_from(self.0.revocations()).unwrap_or(i64::MAX));
        let help = "Sign-outs and revocations that still cover something";
        count.encode(encoder.encode_descriptor("ledger_revocations", help, None, count.metric_type())?)
    }
}
