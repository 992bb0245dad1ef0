"""Does the observability stack of docker-compose.yml work, with the real programs?"""
