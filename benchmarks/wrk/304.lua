-- a condition that holds: what a browser sends that has the file already
wrk.headers["If-None-Match"] = os.getenv("ETAG")
wrk.headers["If-Modified-Since"] = os.getenv("SINCE")
