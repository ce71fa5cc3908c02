# imgd in a container, made of this clone: docker build -t imgd .
# How it is run: docs/configuration.md, "A container".

FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY imgd imgd
COPY twisted twisted
RUN python -m venv /opt/imgd
RUN /opt/imgd/bin/pip install --no-cache-dir ".[pictures]"
# So that twistd's list of plugins is stored, which the daemon's user may not write.
RUN /opt/imgd/bin/twistd --help > /dev/null

FROM python:3.13-slim
RUN useradd --uid 8888 --no-create-home --home-dir /state --shell /usr/sbin/nologin imgd
RUN install -d -o imgd -g imgd -m 0700 /state && install -d /data
COPY --from=build /opt/imgd /opt/imgd
ENV PATH=/opt/imgd/bin:$PATH IMAGE_SERVER_HOST=0.0.0.0 IMGD_STATE_DIR=/state IMGD_IMAGES_DIR=/data
USER imgd
WORKDIR /state
VOLUME /state
EXPOSE 8888
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s CMD ["imgd", "status"]
CMD ["twistd", "--nodaemon", "--pidfile=", "imgd"]
