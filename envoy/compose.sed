# Makes of envoy.yaml what docker-compose.yml runs: Envoy listens to the other containers and to published ports, and the
# simulated backends are a container of their own, found by its name. (To connect to 0.0.0.0 is to connect to oneself.)
s/address: 127\.0\.0\.1, port_value: 1808/address: backends, port_value: 1808/
s/address: 127\.0\.0\.1,/address: 0.0.0.0,/
s/type: STATIC/type: STRICT_DNS/
