# search: vectors and documents in, matches out.
#   CPU: docker build -f deploy/images/search.Dockerfile -t picoseek-search .
#   GPU: docker build -f deploy/images/search.Dockerfile -t picoseek-search:gpu --build-arg RUNTIME=gpu .
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG RUNTIME=cpu
WORKDIR /src
COPY constraints constraints
RUN python -m venv /opt/picoseek \
    && /opt/picoseek/bin/pip install --no-cache-dir --require-hashes --no-deps -r constraints/image-search-${RUNTIME}.txt
COPY protos protos
COPY services/chassis services/chassis
COPY services/search services/search
RUN /opt/picoseek/bin/pip install --no-cache-dir --no-deps --no-build-isolation \
        ./protos ./services/chassis ./services/search

FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner=10001 --group=10001 /data
COPY --from=build /opt/picoseek /opt/picoseek
ENV PATH=/opt/picoseek/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    PICOSEEK_SEARCH_HOST=0.0.0.0 \
    PICOSEEK_SEARCH_PORT=7072 \
    PICOSEEK_SEARCH_METRICS_ADDRESS=0.0.0.0:9072 \
    PICOSEEK_SEARCH_DATA_DIR=/data
USER 10001:10001
VOLUME /data
EXPOSE 7072 9072
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-m", "picoseek_chassis.health_probe", "127.0.0.1:7072"]
ENTRYPOINT ["picoseek-search"]
