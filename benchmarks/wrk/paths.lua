-- The paths that the file $PATHS lists, in turn, with $ACCEPT
local paths, i = {}, 0
for line in io.lines(os.getenv("PATHS")) do paths[#paths + 1] = line end
wrk.headers["Accept"] = os.getenv("ACCEPT")
request = function()
  i = i % #paths + 1
  return wrk.format("GET", paths[i])
end
