# The executable on a base without a shell. The last target is svidecar; --target spiffe-helper is the drop-in for ghcr.io/spiffe/spiffe-helper.
#
#   docker build --tag svidecar:0.1.0 --build-arg VERSION=0.1.0 --build-arg REVISION="$(git rev-parse HEAD)" \
#     --build-arg BUILD_IMAGE=node:24-bookworm-slim@sha256:… \
#     --build-arg RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot@sha256:… .
#
# The bases have no default, and one without a digest is refused: a tag names another image tomorrow. Today's digest of each is what
# `docker buildx imagetools inspect node:24-bookworm-slim` prints as Digest; docs/image.md says more.
ARG BUILD_IMAGE
ARG RUNTIME_IMAGE

# On the builder's own processor, whatever it builds for.
FROM --platform=${BUILDPLATFORM} ${BUILD_IMAGE} AS build
ARG BUILD_IMAGE
ARG RUNTIME_IMAGE
RUN for base in "${BUILD_IMAGE}" "${RUNTIME_IMAGE}"; do \
      case "${base}" in *@sha256:*) ;; *) echo "${base} is not pinned by a digest" >&2; exit 1 ;; esac; \
    done
WORKDIR /src
# Before the sources, so that a change of these does not install everything again. tools is a dependency by path.
COPY .npmrc package.json package-lock.json ./
COPY tools tools
RUN npm ci
COPY LICENSE build.ts build-sea.ts ./
COPY proto proto
COPY src src
COPY demo demo
COPY test/support/world test/support/world
# There is no git here to ask for the commit.
ARG REVISION
ARG TARGETARCH
RUN SVIDECAR_COMMIT="${REVISION}" npm run build:sea -- "${TARGETARCH}" /out/usr/bin/svidecar
# All that the images get, in its place. What they do not get is a shell to make it with.
ARG SOURCE_DATE_EPOCH=0
RUN mkdir -p /out/usr/share/doc/svidecar /out/run /runtime/run/svidecar /helper && \
    node_modules/.bin/node tools/sbom.ts /out/usr/share/doc/svidecar/svidecar.cdx.json && \
    cp LICENSE /out/usr/share/doc/svidecar/ && \
    cp dist/svidecar.cjs.LEGAL.txt /out/usr/share/doc/svidecar/LICENSES-of-libraries.txt && \
    cp node_modules/node-linux-*/LICENSE /out/usr/share/doc/svidecar/LICENSE-of-node.txt && \
    ln -s /usr/bin/svidecar /helper/spiffe-helper && \
    find /out /runtime /helper -exec touch --no-dereference --date="@${SOURCE_DATE_EPOCH}" {} +

FROM ${RUNTIME_IMAGE} AS runtime
ARG RUNTIME_IMAGE
COPY --from=build --chown=0:0 /out /
# Tokens and sockets. A volume takes its owner from here, which a bind mount on ECS depends on.
COPY --from=build --chown=65532:65532 /runtime/run/svidecar /run/svidecar
VOLUME /run/svidecar
WORKDIR /
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="svidecar" \
      org.opencontainers.image.description="SPIFFE identities in, AWS credentials out" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${RUNTIME_IMAGE}"

# The same file by the name that its users' manifests have. Its health is asked over HTTP, if its configuration says so.
FROM runtime AS spiffe-helper
COPY --from=build --chown=0:0 /helper /
HEALTHCHECK NONE
ENTRYPOINT ["/spiffe-helper"]
CMD []

FROM runtime AS svidecar
ENTRYPOINT ["/usr/bin/svidecar"]
CMD ["run"]
# For Docker; Kubernetes and ECS have probes of their own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/bin/svidecar", "healthcheck"]
