# syntax=docker/dockerfile:1
# driftrun with Terraform (and git, ssh: that image has them).
#
#   docker build -f deploy/container/terraform.Dockerfile -t driftrun-terraform:0.1.0 .
#
# For OpenTofu take `FROM ghcr.io/opentofu/opentofu:1.9.0-minimal AS tool` and copy /usr/local/bin/tofu; for Terragrunt copy its binary beside it.
ARG DRIFTRUN=driftrun:0.1.0
ARG TERRAFORM=1.11.4
# hadolint ignore=DL3006
FROM ${DRIFTRUN} AS driftrun

FROM hashicorp/terraform:${TERRAFORM}
COPY --from=driftrun /usr/bin/driftrun /usr/bin/driftrun
RUN addgroup -g 65532 driftrun \
    && adduser -D -u 65532 -G driftrun -h /var/lib/driftrun driftrun \
    && chmod 700 /var/lib/driftrun
USER 65532:65532
ENV HOME=/var/lib/driftrun
WORKDIR /var/lib/driftrun
EXPOSE 9152
ENTRYPOINT ["/usr/bin/driftrun"]
CMD ["serve", "--config.file=/etc/driftrun/driftrun.yaml"]
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s CMD ["/usr/bin/driftrun", "health"]
