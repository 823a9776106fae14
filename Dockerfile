# The images of Thimble: cpu (what a build without --target makes), gpu, export and load.
#
#   docker build -t thimble:cpu .
#   docker build --target gpu -t thimble:gpu .
#
# Dependencies come before the code, so that a change of the code rebuilds the small last layers alone.
ARG BASE=python:3.13-slim-trixie


# What the packages need, exactly as constraints.txt says, in an environment without pip.
FROM ${BASE} AS packages
ARG PIP_FIND_LINKS
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml constraints.txt ./
# the code is not here yet: this installs its dependencies, its metadata and its commands
RUN touch README.md && python -m venv --without-pip /opt/thimble

FROM packages AS packages-cpu
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/thimble install -c constraints.txt '.[cpu]'
# tests, the other commands, and what of ONNX Runtime is for programs in C and for making models
RUN find /opt/thimble \( -name test -o -name tests -o -name thimble-export -o -name thimble-load \
    -o -name 'libonnxruntime.so.*' -o -path '*/onnxruntime/quantization' -o -path '*/onnxruntime/tools' \
    -o -path '*/onnxruntime/transformers' \) -prune -exec rm -r {} +

FROM packages AS packages-gpu
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/thimble install -c constraints.txt '.[gpu]'
RUN find /opt/thimble \( -name test -o -name tests -o -name thimble-export -o -name thimble-load \
    -o -name 'libonnxruntime.so.*' -o -path '*/onnxruntime/quantization' -o -path '*/onnxruntime/tools' \
    -o -path '*/onnxruntime/transformers' \) -prune -exec rm -r {} +

FROM packages AS packages-export
# PyTorch for CPUs; to train on a GPU, build with --build-arg PIP_EXTRA_INDEX_URL=
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/thimble install -c constraints.txt '.[cpu,export]'
RUN find /opt/thimble \( -name tests -o -name thimble-serve -o -name thimble-load \) -prune -exec rm -r {} +

FROM packages AS packages-load
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/thimble install -c constraints.txt '.[load]'
RUN find /opt/thimble \( -name test -o -name tests -o -name thimble-serve -o -name thimble-export \) \
    -prune -exec rm -r {} +


# The native lookup.
FROM ${BASE} AS compiler
# Debian keeps only the newest build of a package, so there is no version to pin
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake g++ make libonnxruntime-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
FROM compiler AS ops
COPY ops ops
RUN python ops/build.py && test -f ops/libthimble_ops.so

FROM compiler AS ops-gpu
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --target /opt/cuda nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 \
    nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85
ENV PATH=/opt/cuda/nvidia/cu13/bin:$PATH LIBRARY_PATH=/opt/cuda/nvidia/cu13/lib
COPY ops ops
RUN python ops/build.py && grep -q CPUExecutionProvider,CUDAExecutionProvider ops/libthimble_ops.so


# The code, compiled: under a read-only root nothing can be later. Copies may get other times, so none are looked at.
FROM ${BASE} AS code
WORKDIR /code
COPY models thimble/models
COPY ops/__init__.py ops/library.py thimble/ops/
COPY service thimble/service
COPY client thimble/client
COPY export thimble/export
COPY loadtests thimble/loadtests
RUN python -m compileall -q --invalidation-mode unchecked-hash .


# What all images have in common. Python's own images leave its library to be compiled at the first import, which under
# a read-only root is every time.
FROM ${BASE} AS base
RUN pip uninstall --yes --root-user-action ignore pip \
    && python -m compileall -q -x '/(ensurepip|idlelib|pydoc_data|site-packages|test|tkinter|turtledemo)/' \
    "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && useradd --uid 10001 --user-group --home-dir /home/thimble --shell /usr/sbin/nologin thimble \
    && install -d -o thimble -g thimble /home/thimble /home/thimble/runs
ENV PATH=/opt/thimble/bin:$PATH PYTHONPATH=/opt/thimble/code PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /home/thimble
USER 10001:10001
LABEL org.opencontainers.image.title=Thimble org.opencontainers.image.licenses=Apache-2.0

FROM base AS serving
ENV THIMBLE_HOST=0.0.0.0 THIMBLE_PORT=8000 THIMBLE_REPOSITORY=/models
COPY --chown=10001:10001 artifacts/demo /models/demo
LABEL org.opencontainers.image.description="Serves click-through models over HTTP"
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --start-interval=1s CMD ["python", "-m", "thimble.service.probe"]
ENTRYPOINT ["thimble-serve"]


FROM base AS export
COPY --from=packages-export /opt/thimble /opt/thimble
COPY --from=code /code/thimble/models /opt/thimble/code/thimble/models
COPY --from=code /code/thimble/export /opt/thimble/code/thimble/export
LABEL org.opencontainers.image.description="Trains click-through models and exports them for Thimble's server"
ENTRYPOINT ["thimble-export"]

FROM base AS load
COPY --from=packages-load /opt/thimble /opt/thimble
COPY --from=code /code/thimble/models /opt/thimble/code/thimble/models
COPY --from=code /code/thimble/client /opt/thimble/code/thimble/client
COPY --from=code /code/thimble/loadtests /opt/thimble/code/thimble/loadtests
LABEL org.opencontainers.image.description="Offers load to Thimble's server and measures how it bears it"
EXPOSE 8089
ENTRYPOINT ["thimble-load"]

FROM serving AS gpu
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=packages-gpu /opt/thimble /opt/thimble
COPY --from=code /code/thimble/models /opt/thimble/code/thimble/models
COPY --from=code /code/thimble/ops /opt/thimble/code/thimble/ops
COPY --from=code /code/thimble/service /opt/thimble/code/thimble/service
COPY --from=ops-gpu /src/ops/libthimble_ops.so /opt/thimble/code/thimble/ops/

FROM serving AS cpu
COPY --from=packages-cpu /opt/thimble /opt/thimble
COPY --from=code /code/thimble/models /opt/thimble/code/thimble/models
COPY --from=code /code/thimble/ops /opt/thimble/code/thimble/ops
COPY --from=code /code/thimble/service /opt/thimble/code/thimble/service
COPY --from=ops /src/ops/libthimble_ops.so /opt/thimble/code/thimble/ops/
