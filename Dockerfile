# One image for `run`, `migrate` and every other command.
# Built with: docker build -t vesu-indexer .
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# The pinned dependencies change seldom: their layer is kept while only the source changes.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /opt/indexer \
 && /opt/indexer/bin/pip install --require-hashes -r requirements.lock \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes -r requirements-build.lock
COPY . .
RUN /opt/build/bin/pip wheel . --no-deps --no-build-isolation --wheel-dir /dist \
 && /opt/indexer/bin/pip install --no-deps --no-index /dist/*.whl \
 && /opt/indexer/bin/pip uninstall --yes pip

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="vesu-indexer" \
      org.opencontainers.image.description="Exact PostgreSQL tables of the Vesu lending protocol on Starknet" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 indexer \
 && useradd --uid 10001 --gid indexer --no-create-home --home-dir /data --shell /usr/sbin/nologin indexer \
 && install --directory --owner=indexer --group=indexer --mode=0700 /data
COPY --from=build /opt/indexer /opt/indexer
# Inside a container loopback would reach nobody: publish the port on the host's loopback instead,
# as compose.yaml does.
ENV PATH=/opt/indexer/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    VESU_DATA_DIR=/data \
    VESU_API_HOST=0.0.0.0 \
    VESU_API_PORT=8080
USER indexer
WORKDIR /data
VOLUME /data
EXPOSE 8080
# /health answers 503 while the committed block is old, so a first catch-up shows as unhealthy;
# nothing here restarts a container for that.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['VESU_API_PORT'] + '/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["vesu-indexer"]
CMD ["run"]
