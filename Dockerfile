# A node in a container: `docker build -t kv .`, then `docker run -v kv-data:/data -p 7101:7101 kv --name a`.
# compose.yaml starts three. A node's name must stay the same with its data, so give one.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY kv-core kv-core
COPY kv-native kv-native
# Not built, but members of the workspace.
COPY kv-wasm kv-wasm
COPY tests tests
COPY xtask xtask
RUN cargo build --release --locked --package kv-native --bin kv

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --user-group --no-create-home kv \
    && install --directory --owner=kv --group=kv /data
COPY --from=build /src/target/release/kv /usr/local/bin/kv
USER kv
ENV KV_LISTEN=0.0.0.0:7101
ENV KV_DATA=/data
VOLUME ["/data"]
EXPOSE 7101
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s --retries=3 CMD ["kv", "status"]
ENTRYPOINT ["kv", "node"]
