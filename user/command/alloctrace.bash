# bash completion for alloctrace(8)

_alloctrace_pids()
{
	local dir pids=()

	for dir in /proc/[0-9]*; do
		pids+=("${dir#/proc/}")
	done
	mapfile -t COMPREPLY < <(compgen -W "${pids[*]}" -- "$1")
}

# The command's place in COMP_WORDS, or nothing before it has been typed.
_alloctrace_command()
{
	local i

	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == -* ]] || { echo "$i"; return; }
	done
}

_alloctrace()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} at i
	local common="--json --verbose --help"
	local events="--duration --retained-min --window-min --churn-min --walk-budget --no-alloc --stack --native --objects
		--max-overhead --min-size --max-size --max-memory --symbol-prefix --object"
	local watch="$events --top --older --output --events --folded --html --pprof --speedscope --perfetto --heaptrack
		--push --push-interval --prometheus --on-window --apart --weight --mark"
	local -A options=(
		[attach]="--pid --comm --cgroup --unit --ns-of --follow $watch $common"
		[top]="--pid --comm --cgroup --unit --ns-of --follow $events --verbose --help"
		[run]="--interval --count --no-follow $watch $common"
		[report]="--format --output --all --events --top --weight $common"
		[diff]="--format --output --by --top --weight $common"
		[heap]="--pid --ns-of --stop $common"
		[check]="--pid --comm --cgroup --unit --ns-of $common"
		[mark]="--pid --ns-of --kind --no-wait --verbose --help"
		[purge]="--pid --ns-of --dry-run --timeout $common"
		[allocators]="--pid --ns-of --symbol-prefix --object $common"
	)

	COMPREPLY=()
	at=$(_alloctrace_command)
	if [[ -z $at ]]; then
		mapfile -t COMPREPLY < <(compgen -W "attach top run report diff heap check mark purge allocators help --help --version" -- "$cur")
		return
	fi
	case ${COMP_WORDS[at]} in
	help)
		mapfile -t COMPREPLY < <(compgen -W "attach top run report diff heap check mark purge allocators" -- "$cur")
		return
		;;
	run)
		# From COMMAND on everything is that command's own.
		for ((i = at + 1; i < COMP_CWORD; i++)); do
			if [[ ${COMP_WORDS[i]} == -- ]]; then
				declare -F _command_offset >/dev/null && _command_offset $((i + 1))
				return
			fi
		done
		;;
	attach | top | report | diff | heap | check | mark | purge | allocators) ;;
	*) return ;;
	esac
	case $prev in
	--pid | -p | --ns-of)
		_alloctrace_pids "$cur"
		return
		;;
	--cgroup)
		mapfile -t COMPREPLY < <(compgen -d -- "${cur:-/sys/fs/cgroup/}")
		return
		;;
	--objects)
		mapfile -t COMPREPLY < <(compgen -W "paced all none sampled:4K" -- "$cur")
		return
		;;
	--stack)
		mapfile -t COMPREPLY < <(compgen -W "all none sampled:64K" -- "$cur")
		return
		;;
	--weight)
		mapfile -t COMPREPLY < <(compgen -W "live allocated freed count pinned peak temporary retained" -- "$cur")
		return
		;;
	--format | -f)
		[[ ${COMP_WORDS[at]} == diff ]] && mapfile -t COMPREPLY < <(compgen -W "text json folded html" -- "$cur") && return
		mapfile -t COMPREPLY < <(compgen -W "text json folded html pprof speedscope perfetto heaptrack" -- "$cur")
		return
		;;
	--by)
		mapfile -t COMPREPLY < <(compgen -W "nothing time marks allocations" -- "$cur")
		return
		;;
	--on-window)
		mapfile -t COMPREPLY < <(compgen -c -- "$cur")
		return
		;;
	--prometheus | --folded | --html | --pprof | --speedscope | --perfetto | --heaptrack | --output | -o | --object | -O)
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
		return
		;;
	--max-overhead)
		mapfile -t COMPREPLY < <(compgen -W "none" -- "$cur")
		return
		;;
	--symbol-prefix | -S | --mark | --kind | -k | --top | -T | --older | --min-size | -z | --max-size | -Z | --max-memory | --interval | -i | --timeout | -t | --count | -n | --duration | -d | --retained-min | --window-min | --churn-min | --walk-budget | --push | --push-interval | --unit | --comm)
		return
		;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "${options[${COMP_WORDS[at]}]}" -- "$cur")
	elif [[ ${COMP_WORDS[at]} == report || ${COMP_WORDS[at]} == diff ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$cur")
	elif [[ ${COMP_WORDS[at]} != run && $COMP_CWORD -eq $((at + 1)) ]]; then
		_alloctrace_pids "$cur"
	elif [[ ${COMP_WORDS[at]} == run ]]; then
		mapfile -t COMPREPLY < <(compgen -c -- "$cur")
	fi
}

complete -F _alloctrace alloctrace
