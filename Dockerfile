# One image for origins and edges; `docker build .` makes it. BuildKit keeps crates, packages and what was
# compiled from one build to the next (Docker 23 and later have it; so has Podman).
#
#   docker build -t lectern .                               small: neither a shell nor ffmpeg
#   docker build -t lectern:ffmpeg --target with-ffmpeg .   origins that re-encode, and the demo
#   docker build --target sbom --output target .            what is in it, as CycloneDX: target/sbom.cdx.json
#
# Both run as user 65532, write to /var/lib/lectern only (an edge writes nowhere), and need no capability:
# docker run --read-only --cap-drop ALL --security-opt no-new-privileges.
ARG RUST_VERSION=1.95
ARG NODE_VERSION=20
ARG DEBIAN=bookworm

# The pages, which the binary embeds.
FROM docker.io/library/node:${NODE_VERSION}-${DEBIAN}-slim AS web
WORKDIR /src/web
COPY web/package.json web/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --no-audit --no-fund --silent
COPY web ./
RUN npm run --silent build

FROM docker.io/library/rust:${RUST_VERSION}-${DEBIAN} AS build
# cmake builds the libopus and aws-lc that crates bring along.
RUN apt-get update \
    && apt-get install -y -qq --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . ./
COPY --from=web /src/web/dist web/dist
# The commit that is built, which a build outside git cannot find out: --build-arg LECTERN_COMMIT=$(git rev-parse HEAD)
ARG LECTERN_COMMIT=""
ENV LECTERN_COMMIT=${LECTERN_COMMIT}
# Names of functions stay for the backtrace of a panic; lines of code are three quarters of the size.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked \
    && mkdir -p /out/data \
    && strip --strip-debug -o /out/lectern target/release/lectern

# Every crate and package that the lock files name, with licences and hashes.
FROM docker.io/library/node:${NODE_VERSION}-${DEBIAN}-slim AS listed
USER 1000:1000
WORKDIR /home/node/src
COPY --chown=1000:1000 Cargo.toml Cargo.lock ./
COPY --chown=1000:1000 web/package.json web/package-lock.json web/
RUN npx --yes @cyclonedx/cdxgen@12.8.4 -t rust -t npm --no-install-deps --no-babel -o /home/node/sbom.cdx.json .

FROM scratch AS sbom
COPY --from=listed /home/node/sbom.cdx.json /

FROM docker.io/library/debian:${DEBIAN}-slim AS with-ffmpeg
ARG LECTERN_COMMIT=""
LABEL org.opencontainers.image.title="Lectern" \
    org.opencontainers.image.description="Low-latency live engine for lectures and webinars" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0" \
    org.opencontainers.image.revision="${LECTERN_COMMIT}"
RUN apt-get update \
    && apt-get install -y -qq --no-install-recommends ca-certificates ffmpeg \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /out/lectern /usr/local/bin/lectern
COPY --from=build --chown=65532:65532 /out/data /var/lib/lectern
ENV LECTERN_DATA_DIR=/var/lib/lectern
WORKDIR /var/lib/lectern
USER 65532:65532
EXPOSE 1935/tcp 4443/udp 8080/tcp 8088/tcp 8189/udp 8189/tcp 8190/udp 9090/tcp 9091/tcp
ENTRYPOINT ["/usr/local/bin/lectern"]
CMD ["all"]

# The last is what is built when nothing else is asked for.
FROM gcr.io/distroless/cc-debian12:nonroot AS lectern
ARG LECTERN_COMMIT=""
LABEL org.opencontainers.image.title="Lectern" \
    org.opencontainers.image.description="Low-latency live engine for lectures and webinars" \
    org.opencontainers.image.licenses="MIT OR Apache-2.0" \
    org.opencontainers.image.revision="${LECTERN_COMMIT}"
COPY --from=build /out/lectern /usr/local/bin/lectern
COPY --from=build --chown=65532:65532 /out/data /var/lib/lectern
ENV LECTERN_DATA_DIR=/var/lib/lectern
WORKDIR /var/lib/lectern
USER 65532:65532
EXPOSE 1935/tcp 4443/udp 8080/tcp 8088/tcp 8189/udp 8189/tcp 8190/udp 9090/tcp 9091/tcp
ENTRYPOINT ["/usr/local/bin/lectern"]
CMD ["all"]
