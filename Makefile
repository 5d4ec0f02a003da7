# The only commands a person must know. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help boards demo example flash erase provision deploy mip pico repl logs ota-keys ota-pack hub test sweep check bench size doctor trust sign lock clean

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
UMQTT := firmware/lib/umqtt/simple.py
# Real servers and real waits: two cores are idle half of the time with two workers, so there are
# three. What fails is tried again, and the summary tells.
TWO_CORES := -n 3 --dist loadfile --reruns 2 --reruns-delay 2

help: ## List these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' \
		| while IFS="$$(printf '\t')" read -r name text; do printf '  make %-9s %s\n' "$$name" "$$text"; done

demo: $(READY) $(UMQTT) ## Show the firmware at work against the local hub (CHAPTER=, TRANSPORT=)
	@$(BIN)/python -m tools.demo $(if $(CHAPTER),--chapter $(CHAPTER)) \
		$(if $(TRANSPORT),--transport $(TRANSPORT))

example: $(READY) $(UMQTT) ## Run a program of firmware/examples against a running hub (NAME=shadow)
	@$(BIN)/python -m tools.example $(NAME)

ota-keys: $(READY) ## Make the keys that sign updates, once (ARGS=--rotate changes them)
	@$(BIN)/python -m tools.ota keys $(ARGS)

ota-pack: $(READY) $(UMQTT) ## Make a signed update (BOARD=, IMAGE=, ARGS="--product ID --version V")
	@$(BIN)/python -m tools.ota pack $(if $(BOARD),--board $(BOARD)) \
		$(if $(IMAGE),--image $(IMAGE)) $(ARGS)

hub: $(READY) ## Run the local hub (ARGS="device add ..." talks to a running one)
	@$(BIN)/python -m tools.hub $(ARGS)

test: $(READY) $(UMQTT) check ## Run the tests, a quarter of an hour at most
	@$(BIN)/python -m tools.prerequisites
	@$(BIN)/python -m pytest -m "not sweep" $(TWO_CORES) $(ARGS)

sweep: $(READY) $(UMQTT) ## Run the tests in full numbers (an hour and more)
	@$(BIN)/python -m tools.prerequisites
	@SWEEP=full $(BIN)/python -m pytest $(TWO_CORES) $(ARGS)

check: $(READY) $(UMQTT) ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python -m tools.typecheck

bench: $(READY) $(UMQTT) ## Measure against umqtt.simple and paho, as ratios in one run
	@$(BIN)/python -m tools.bench

size: $(READY) $(UMQTT) ## Measure bytecode, heap and allocations on the emulated Pico W
	@$(BIN)/python -m tools.size

doctor: $(READY) $(UMQTT) ## Find out why a device does not connect (DEVICE=device.json)
	@MICROPYPATH=.frozen:firmware/lib $(BIN)/micropython \
		-c "import sys; from iothub import doctor; sys.exit(0 if doctor.run(sys.argv[1]) else 1)" \
		$(or $(DEVICE),device.json)

trust: $(READY) ## Build the device's trust anchors into build/trust
	@$(BIN)/python -m tools.trust

boards: $(READY) ## List the boards, and what each can do
	@$(BIN)/python -m tools.boards

flash: $(READY) ## Write MicroPython onto a board (BOARD=, PORT=, IMAGE=)
	@$(BIN)/python -m tools.flash --board "$(BOARD)" $(if $(PORT),--port "$(PORT)") $(if $(IMAGE),--image "$(IMAGE)")

erase: $(READY) ## Remove everything from a board: files, secrets, an ESP32's image too (BOARD=, PORT=)
	@$(BIN)/python -m tools.flash --erase --board "$(BOARD)" $(if $(PORT),--port "$(PORT)")

provision: $(READY) ## Give a board its identity: configuration, anchors, certificates (PORT=, BOARD=, PROFILE=production)
	@$(BIN)/python -m tools.provision $(if $(PORT),--port "$(PORT)") $(if $(BOARD),--board "$(BOARD)") $(if $(PROFILE),--profile "$(PROFILE)") $(ARGS)

deploy: $(READY) $(UMQTT) ## Put the compiled application onto a board, what changed of it (PORT=, BOARD=)
	@$(BIN)/python -m tools.deploy $(if $(PORT),--port "$(PORT)") $(if $(BOARD),--board "$(BOARD)") $(ARGS)

mip: $(READY) $(UMQTT) ## Make packages for MicroPython's installer in build/mip (ARGS="--url ...")
	@$(BIN)/python -m tools.mip $(ARGS)

pico: $(READY) $(UMQTT) ## Boot the firmware on an emulated Pico W, connected to a hub, and open its REPL
	@$(BIN)/python -m tools.emulated $(ARGS)

repl: $(READY) ## Talk to the interpreter on a board (PORT=)
	@$(BIN)/python -m tools.repl repl $(if $(PORT),--port "$(PORT)") $(ARGS)

logs: $(READY) ## See what a board prints, without disturbing it (PORT=)
	@$(BIN)/python -m tools.repl logs $(if $(PORT),--port "$(PORT)") $(ARGS)

sign: $(READY) ## Print client id, user name and password (ARGS="PRODUCT DEVICE")
	@PYTHONPATH=firmware/lib $(BIN)/python -m tools.sign $(ARGS)

lock: ## Pin requirements.in again into requirements.lock
	@$(PYTHON) -m tools.lock

clean: ## Remove what the commands above made, but not .hub (devices) and ota_keys
	rm -rf .venv .cache build firmware/lib/umqtt tools/pico/node_modules

# A virtual environment from the lock file, hashes checked; made again when the lock changes.
$(READY): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
		|| { echo "venv is missing: apt-get install python3-venv"; exit 1; }
	@echo "Setting up .venv (once) ..."
	@rm -rf .venv
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(UMQTT): $(READY) tools/fetch/pins.toml
	@$(BIN)/python -m tools.fetch umqtt
	@touch $@
