# Runs inside the root that becomes the layer: /mnt/work/app is mongo-express without its dependencies.
cd /mnt/work/app
npm() { node /mnt/work/npm/bin/npm-cli.js "$@" --ignore-scripts --omit=optional --no-audit --no-fund --loglevel=error; }
if [ -e package-lock.json ]; then npm ci; else npm install; cp package-lock.json /mnt/work/; fi

# The pages' scripts. jQuery and what hangs on it are in vendor.js; the others take jQuery from the window.
printf 'export default window.jQuery;\n' > /mnt/work/jquery.js
printf 'export * as default from "/mnt/work/app/node_modules/html-entities/dist/esm/index.js";\n' > /mnt/work/entities.js
printf '\nexport default renderjson;\n' >> node_modules/renderjson/renderjson.js
bundle() { /mnt/work/esbuild/bin/esbuild "lib/scripts/$1.js" --bundle --minify --format=iife --log-level=error \
    --outfile="build/$1.js" "--define:process.env.NODE_ENV=\"production\"" $2; }
bundle vendor ""
for name in index database collection document gridfs; do bundle $name "--alias:jquery=/mnt/work/jquery.js --alias:html-entities=/mnt/work/entities.js"; done
: > build/codemirror.js # its users bundle it
{
    printf '{'; comma=
    for name in vendor index database collection document gridfs codemirror; do
        printf '%s"%s":{"js":"public/%s.js"}' "$comma" $name $name; comma=,
    done
    printf '}\n'
} > build-assets.json
mkdir -p build/img build/css build/fonts
cp public/images/* build/img/
cp public/stylesheets/* node_modules/codemirror/lib/codemirror.css build/css/
cp -r node_modules/codemirror/theme build/css/theme
cp node_modules/bootstrap/dist/css/bootstrap.min.css node_modules/bootstrap/dist/css/bootstrap-theme.min.css build/css/
cp node_modules/bootstrap/dist/fonts/* build/fonts/

npm prune --omit=dev
rm -rf lib/scripts package-lock.json node_modules/.package-lock.json node_modules/.bin
find node_modules -type d '(' -name test -o -name tests -o -name docs -o -name .github ')' -prune -exec rm -rf {} +
find node_modules -type f '(' -name '*.map' -o -name '*.md' -o -name '*.ts' ')' -delete

cp -r /mnt/work/app /app
chown -R root:root /app
chmod -R a+rX,go-w /app
ln -s ../bin/tini /usr/sbin/tini
install -m 755 /mnt/work/mongo-express-entrypoint.sh /docker-entrypoint.sh
[ ! -s /mnt/work/bundle ] || cp /mnt/work/bundle /etc/ssl/certs/ca-certificates.crt
node --version > /mnt/work/node-version
