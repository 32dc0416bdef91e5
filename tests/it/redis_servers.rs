//! Redis as it is run: with TLS and a password, watched by Sentinels, as a cluster.
