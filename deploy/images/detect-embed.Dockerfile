# detect_embed: pictures and frames in, crops and embeddings out.
#   CPU: docker build -f deploy/images/detect-embed.Dockerfile -t picoseek-detect-embed .
#   GPU: docker build -f deploy/images/detect-embed.Dockerfile -t picoseek-detect-embed:gpu \
#          --build-arg RUNTIME=gpu --build-arg PADDLE_PACKAGE=paddlepaddle-gpu==3.3.1 --build-arg PADDLE_INDEX=<Paddle's own index> \
#          --build-arg BASE=<an image with Python 3.11 and the CUDA libraries> .
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS build
ARG RUNTIME=cpu
ARG PADDLE_PACKAGE=
ARG PADDLE_INDEX=
WORKDIR /src
COPY constraints constraints
RUN python -m venv /opt/picoseek \
    && /opt/picoseek/bin/pip install --no-cache-dir --require-hashes --no-deps -r constraints/image-detect-embed-${RUNTIME}.txt
# Paddle's CUDA builds are on no public registry, so they have no hash in the constraints.
RUN if [ -n "${PADDLE_PACKAGE}" ]; then \
        /opt/picoseek/bin/pip install --no-cache-dir --index-url "${PADDLE_INDEX}" "${PADDLE_PACKAGE}"; \
    fi
COPY protos protos
COPY bundle bundle
COPY services/chassis services/chassis
COPY services/detect_embed services/detect_embed
RUN /opt/picoseek/bin/pip install --no-cache-dir --no-deps --no-build-isolation \
        ./protos ./bundle ./services/chassis ./services/detect_embed

FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/picoseek /opt/picoseek
ENV PATH=/opt/picoseek/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    PICOSEEK_DETECT_EMBED_HOST=0.0.0.0 \
    PICOSEEK_DETECT_EMBED_PORT=7071 \
    PICOSEEK_DETECT_EMBED_METRICS_ADDRESS=0.0.0.0:9071
USER 10001:10001
EXPOSE 7071 9071
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-m", "picoseek_chassis.health_probe", "127.0.0.1:7071"]
ENTRYPOINT ["picoseek-detect-embed"]
