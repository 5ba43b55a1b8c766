# hone as a container: docker build -t hone . && docker run -p 127.0.0.1:11435:11435 \
#     -v hone:/var/lib/hone -v ./keys:/run/secrets/hone-keys:ro hone
#
# It runs as a user without rights. Beyond loopback, which for a container is everything, the server
# wants API keys: the file above has one a line.
FROM debian:12 AS build
COPY . /src
WORKDIR /src
RUN scripts/install-deps.sh && make -j"$(nproc)" && make install DESTDIR=/out

FROM debian:12-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates libasound2 \
        libavcodec59 libavformat59 libcurl4 libedit2 libjansson4 libmicrohttpd12 libsqlite3-0 \
        libssl3 libswresample4 libutf8proc2 libzip4 && \
    rm -rf /var/lib/apt/lists/* && \
    useradd --system --uid 10001 --create-home --home-dir /var/lib/hone hone
COPY --from=build /out/usr/local /usr/local
USER hone
ENV HONE_HOME=/var/lib/hone
VOLUME /var/lib/hone
EXPOSE 11435
ENTRYPOINT ["hone"]
CMD ["serve", "--host", "0.0.0.0", "--api-key-file", "/run/secrets/hone-keys"]
