# One image for each service:  docker build --build-arg SERVICE=order --tag sagashop/order:0.1.0 .
# SERVICE is a folder of services/, or operator, sagactl or console. `make images` builds them all.
ARG BASE_IMAGE=python:3.13-slim
ARG SERVICE

FROM ${BASE_IMAGE} AS dependencies
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_COMPILE_BYTECODE=1
# What is installed is what dev/uv.txt and uv.lock have the hashes of, and uv.lock is what pyproject.toml asks for.
COPY dev/uv.txt /tmp/uv.txt
RUN pip install --no-cache-dir --root-user-action=ignore --require-hashes --requirement /tmp/uv.txt
WORKDIR /app
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev --no-install-project

# Most images have the same dependencies, and so share that layer; seven need more.
FROM dependencies AS dependencies-product
FROM dependencies AS dependencies-inventory
FROM dependencies AS dependencies-payment
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev --no-install-project --group payment
FROM dependencies AS dependencies-fulfilment
FROM dependencies AS dependencies-notification
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev --no-install-project --group notification
FROM dependencies AS dependencies-auth
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev --no-install-project --group auth
FROM dependencies AS dependencies-gateway
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev --no-install-project --group gateway
FROM dependencies AS dependencies-order
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev --no-install-project --group order
FROM dependencies AS dependencies-operator
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev --no-install-project --group operator
FROM dependencies AS dependencies-console
RUN --mount=type=cache,target=/root/.cache/uv uv sync --locked --no-dev --no-install-project --group console
# With what mails are written with, what Stripe is asked with, and the command itself, which finds the code in /app, where it will be. (Its build wants to read a README.)
FROM dependencies AS dependencies-sagactl
RUN --mount=type=cache,target=/root/.cache/uv touch README.md && uv sync --locked --no-dev --group sagactl --group mail --group payment
# One of the stages above, not an image without a tag:
# hadolint ignore=DL3006
FROM dependencies-${SERVICE} AS environment

# The code of one service and of services/shared, and what starts it. sagactl checks the services' data by their own
# rules and shares the operator's sweep policy: it holds all code; and so does the console, which shares what sagactl reads.
FROM ${BASE_IMAGE} AS code
ARG SERVICE
WORKDIR /source
COPY . .
RUN case "$SERVICE" in \
      operator) module=saga_operator; set -- operator ;; \
      sagactl) module=sagactl; set -- sagactl services operator ;; \
      console) module=console.main; set -- console sagactl services operator ;; \
      *) module=services.$SERVICE.main; set -- services/__init__.py services/shared "services/$SERVICE" ;; \
    esac \
  && mkdir /app && cp -r --parents "$@" /app \
  && printf '#!/bin/sh\nexec python -m %s "$@"\n' "$module" >/app/start && chmod 755 /app/start \
  && python -m compileall -q --invalidation-mode checked-hash /app

FROM ${BASE_IMAGE}
RUN groupadd --gid 10001 sagashop && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp sagashop
WORKDIR /app
ENV PATH=/app/.venv/bin:$PATH PYTHONPATH=/app:/app/operator PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=environment /app/.venv .venv
COPY --from=code /app .
ARG SERVICE
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="sagashop ${SERVICE}" \
      org.opencontainers.image.description="An e-commerce order backend whose every order ends consistent" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
USER 10001:10001
ENTRYPOINT ["/app/start"]
