# The images of Lucency: `serve` answers requests and has no torch, `train` runs every job.
#
#   docker build --target serve --tag lucency-serve:0.1.0 .
#   docker build --target train --tag lucency-train:0.1.0 .

FROM python:3.11-slim AS base
# wget: KubeRay's readiness probe of a Serve worker calls it; without it no worker gets traffic.
# Its version is not pinned, for Debian's archive keeps only the newest.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 1000 lucency \
    && useradd --uid 1000 --gid 1000 --create-home lucency
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app:/app/platform \
    PYTHONUNBUFFERED=1 \
    RAY_USAGE_STATS_ENABLED=0
WORKDIR /app

FROM base AS builder
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_PYTHON_DOWNLOADS=never
RUN pip install --no-cache-dir uv==0.13.9
COPY pyproject.toml uv.lock ./

FROM builder AS builder-serve
RUN uv sync --frozen --no-dev --no-install-project --extra serve

FROM builder AS builder-train
RUN uv sync --frozen --no-dev --no-install-project --extra train --extra serve

FROM base AS serve
COPY --from=builder-serve /opt/venv /opt/venv
COPY platform platform
COPY serve serve
COPY jobs jobs
COPY configs configs
USER 1000:1000

FROM base AS train
COPY --from=builder-train /opt/venv /opt/venv
COPY platform platform
COPY serve serve
COPY jobs jobs
COPY configs configs
USER 1000:1000
