//! Stop and handover.
