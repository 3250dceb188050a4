# syntax=docker/dockerfile:1
# driftrun with ansible-core and an SSH client.
#
#   docker build -f deploy/container/ansible.Dockerfile -t driftrun-ansible:0.1.0 .
ARG DRIFTRUN=driftrun:0.1.0
# hadolint ignore=DL3006
FROM ${DRIFTRUN} AS driftrun

FROM python:3.13-slim-bookworm
ARG ANSIBLE=2.19.14
RUN apt-get update \
    && apt-get install -y --no-install-recommends openssh-client=1:* \
    && rm -rf /var/lib/apt/lists/* \
    && pip install --no-cache-dir "ansible-core==${ANSIBLE}" \
    && groupadd -g 65532 driftrun \
    && useradd -u 65532 -g 65532 -m -d /var/lib/driftrun -s /usr/sbin/nologin driftrun \
    && chmod 700 /var/lib/driftrun
COPY --from=driftrun /usr/bin/driftrun /usr/bin/driftrun
USER 65532:65532
# What ansible keeps for itself: on a read-only root, the volume or a tmpfs.
ENV HOME=/var/lib/driftrun
WORKDIR /var/lib/driftrun
EXPOSE 9152
ENTRYPOINT ["/usr/bin/driftrun"]
CMD ["serve", "--config.file=/etc/driftrun/driftrun.yaml"]
HEALTHCHECK --interval=30s --timeout=6s --start-period=10s CMD ["/usr/bin/driftrun", "health"]
