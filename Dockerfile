FROM rust:1.95-bookworm AS build
# zlib-ng builds with cmake; the compiler is in the image.
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build

# The dependencies are a layer of their own, built with an empty program, so that a change
# in src/ does not build them again. Benches and tests stay out of the image: the manifest
# loses their targets, which cargo would look for otherwise.
COPY Cargo.toml Cargo.lock ./
RUN awk '/^\[/ { skip = /^\[\[(bench|test|example)\]\]/ } !skip' Cargo.toml > slim.toml \
 && mv slim.toml Cargo.toml \
 && mkdir src && touch src/lib.rs && echo 'fn main() {}' > src/main.rs \
 && cargo build --release --locked \
 && rm -r src

# The starter that `vestibule init` writes is part of the binary.
COPY proxy.toml build.rs ./
COPY src src
# The commit, for `vestibule --version`: the image is built without the repository.
ARG VESTIBULE_REVISION
# Copied files keep their times, which may be older than the empty program's.
RUN find src -name '*.rs' -exec touch {} + && cargo build --release --locked


FROM debian:bookworm-slim
COPY --from=build /build/target/release/vestibule /usr/local/bin/vestibule

# The ledger: path = "/var/lib/vestibule/vestibule.redb". For any user that the container is run as.
RUN install -d -m 1777 /var/lib/vestibule
VOLUME /var/lib/vestibule

# Paths in the configuration may be relative to it. Secrets mounted here must be readable
# for this uid.
WORKDIR /etc/vestibule
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["vestibule", "health", "-c", "/etc/vestibule/proxy.toml"]
ENTRYPOINT ["vestibule"]
CMD ["run", "-c", "/etc/vestibule/proxy.toml"]
