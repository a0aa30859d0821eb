"""Starts servers of ASGI the same way wherever one is needed."""
import asyncio

import hypercorn.asyncio
import hypercorn.config
import uvicorn


def serve(server, app, listener, ws="wsproto"):
    """Serves app on the socket listener with uvicorn or hypercorn, for good; ws is what uvicorn takes upgrades with."""
    if server == "uvicorn":
        settings = {"log_level": "warning", "lifespan": "off", "timeout_keep_alive": 600, "ws": ws}
        uvicorn.Server(uvicorn.Config(app, **settings)).run(sockets=[listener])
    else:
        config = hypercorn.config.Config()
        config.bind = [f"fd://{listener.detach()}"]
        config.keep_alive_timeout = 600
        asyncio.run(hypercorn.asyncio.serve(app, config))
