# The daemon as an image: one bundle on a base that has Node.js and no shell.
# docker build --tag svidecar --build-arg VERSION=… --build-arg REVISION="$(git rev-parse HEAD)" .
# Pin the bases by digest where you build: --build-arg RUNTIME_IMAGE=gcr.io/distroless/nodejs24-debian12:nonroot@sha256:…
ARG BUILD_IMAGE=node:24-bookworm-slim
ARG RUNTIME_IMAGE=gcr.io/distroless/nodejs24-debian12:nonroot

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
# Before the sources, so that a change of these does not install everything again. tools is a dependency by path.
COPY .npmrc package.json package-lock.json ./
COPY tools tools
RUN npm ci
COPY LICENSE build.ts ./
COPY proto proto
COPY src src
COPY demo demo
COPY test/support/world test/support/world
# There is no git here to ask for the commit. The final stage has no mkdir.
ARG REVISION
RUN SVIDECAR_COMMIT="${REVISION}" npm run build && mkdir /empty

FROM ${RUNTIME_IMAGE}
COPY --from=build /src/LICENSE /src/dist/svidecar.cjs /src/dist/svidecar.cjs.LEGAL.txt /usr/lib/svidecar/
# Compiled code of the bundle: 60 ms of each start, and each health check is a start. Filled by the Node.js and the
# user that will read it, because both are in its key.
COPY --from=build --chown=65532:65532 /empty /var/cache/svidecar
# Tokens and sockets. A volume takes its owner from here, which a bind mount on ECS depends on.
COPY --from=build --chown=65532:65532 /empty /run/svidecar
VOLUME /run/svidecar
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
ENV NODE_COMPILE_CACHE=/var/cache/svidecar
RUN ["/nodejs/bin/node", "/usr/lib/svidecar/svidecar.cjs", "--version"]
# SIGUSR1 would open the inspector, which reads every secret.
ENTRYPOINT ["/nodejs/bin/node", "--disable-sigusr1", "/usr/lib/svidecar/svidecar.cjs"]
CMD ["run"]
# For Docker; Kubernetes and ECS have probes of their own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/nodejs/bin/node", "/usr/lib/svidecar/svidecar.cjs", "healthcheck"]
ARG VERSION=unknown REVISION=unknown
LABEL org.opencontainers.image.title="svidecar" \
      org.opencontainers.image.description="SPIFFE identities in, AWS credentials out" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
