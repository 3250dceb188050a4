# syntax=docker/dockerfile:1
# driftrun with kubectl and diff, which `kubectl diff` calls.
#
#   docker build -f deploy/container/kubectl.Dockerfile -t driftrun-kubectl:0.1.0 .
#
# helm: `FROM alpine/helm:3.17.3 AS helm`, copy /usr/bin/helm, and install the plugin helm-diff into a HELM_PLUGINS that the user may read.
ARG DRIFTRUN=driftrun:0.1.0
ARG KUBECTL=v1.32.3
# hadolint ignore=DL3006
FROM ${DRIFTRUN} AS driftrun
FROM registry.k8s.io/kubectl:${KUBECTL} AS kubectl

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates=20230311* diffutils=1:* \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd -g 65532 driftrun \
    && useradd -u 65532 -g 65532 -m -d /var/lib/driftrun -s /usr/sbin/nologin driftrun \
    && chmod 700 /var/lib/driftrun
COPY --from=kubectl /bin/kubectl /usr/local/bin/kubectl
COPY --from=driftrun /usr/bin/driftrun /usr/bin/driftrun
USER 65532:65532
ENV HOME=/var/lib/driftrun
WORKDIR /var/lib/driftrun
EXPOSE 9152
ENTRYPOINT ["/usr/bin/driftrun"]
CMD ["serve", "--config.file=/etc/driftrun/driftrun.yaml"]
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s CMD ["/usr/bin/driftrun", "health"]
